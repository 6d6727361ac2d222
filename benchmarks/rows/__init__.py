"""One module for each row of the table: ``WHAT``, ``UNIT``, ``TARGET`` and ``measure(folder, quick)``."""
