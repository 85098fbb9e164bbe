"""The reconciler under attack, in process: crashes, stale views, missed states and foreign writes, counted and
checked."""
