"""Losses: pure functions of tensors, the terms of the objective, and the queue that they look into."""
