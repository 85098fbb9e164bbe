"""What may be asked? The CRD as people apply it, and its core types as the models read them. Data only."""
