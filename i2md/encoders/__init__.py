"""Encoders, one class each: (batch, frames, joints, channels, persons) -> (batch, width)."""
