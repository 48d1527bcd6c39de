"""Measurements of this project, repeated by `make bench` and `make evidence` and written up by `make docs`."""
