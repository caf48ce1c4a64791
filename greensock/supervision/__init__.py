"""Worker processes under a supervisor: who is there, who comes next, and who has to go."""
