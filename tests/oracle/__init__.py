"""Comparisons with PyTorch itself: its operator database, run on both libraries."""
