"""What PostgreSQL and SQLite share: placeholders, results and the shapes of configs; loads no driver."""
