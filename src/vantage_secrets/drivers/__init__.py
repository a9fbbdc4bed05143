"""What makes rotations happen by themselves: each driver stands above the features and calls one reconcile."""
