"""The process's one hub: who listens, and what is patched while they do."""
