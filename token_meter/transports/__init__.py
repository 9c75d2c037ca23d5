"""The libraries that carry requests, a file each: they hand a request and its answer up, and change neither.

A transport gets what it needs handed down: the one context variable, and a `Runtime` (see `ports`).
"""
