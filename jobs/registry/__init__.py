"""What runs say of themselves, and the models they leave."""
