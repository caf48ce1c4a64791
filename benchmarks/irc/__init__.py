"""How many clients the IRC example bears, and whether anything is lost between its processes."""
