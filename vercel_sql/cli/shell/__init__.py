"""The interactive shell: entries, dot commands, the prompt, completion."""
