"""Everything that needs torch: networks, synthesis of training pairs, the loop, export."""
