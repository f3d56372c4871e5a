"""What the framework costs, as ratios that hold on any machine (`make bench`)."""
