"""Encoders: one class a file, (batch, frames, channels) -> (batch, width)."""
