"""What worker processes gain, and how evenly connections come to them."""
