"""What adapters implement, and the data that flows through them; one module per track."""
