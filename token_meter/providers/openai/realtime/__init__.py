"""The messages on OpenAI's websockets. A program that opens none never loads this package."""
