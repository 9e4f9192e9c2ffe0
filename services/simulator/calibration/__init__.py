"""Fits the car's dynamics to real traces and says how well they do: `make calibrate`."""
