"""The objectives of I2MD: pure functions of tensors, and the bank they look into."""
