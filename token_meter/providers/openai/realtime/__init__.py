"""What passes OpenAI's websockets; a program that opens none never loads this package."""
