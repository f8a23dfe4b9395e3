"""Tests of what the service is shipped in: the Helm chart and the container image."""
