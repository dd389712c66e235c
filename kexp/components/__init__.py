"""The built-in components that add to Keras' own exports or change their defaults."""
