"""The Keras classes behind the components; importing one imports Keras and registers it for saved models."""
