"""The other side of every ratio: programs that users would write, or install, instead of gatepost."""
