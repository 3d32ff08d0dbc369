"""What runs answered image by image: where two strategies differ, where all disagree, and how sure they were."""
