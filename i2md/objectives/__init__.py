"""The objectives of I2MD: pure functions of tensors, and the queue they look into."""
