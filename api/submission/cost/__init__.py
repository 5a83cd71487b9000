"""Estimates of time, memory and waiting on this installation."""
