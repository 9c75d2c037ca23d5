"""Observes the libraries that carry requests, one file each. Requests and answers are not changed.

A transport is given the one context variable and a `Runtime` (see `ports`), and imports nothing above it.
"""
