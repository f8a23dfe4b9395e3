"""Tests of codes, hashes and keys."""
