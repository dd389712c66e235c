"""The built-in components: what the catalogue adds to or changes in Keras' own exports."""
