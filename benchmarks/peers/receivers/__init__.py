"""Receivers that nobody here wrote, held against the contract."""
