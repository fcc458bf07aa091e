"""The page in the browser: a server that reads run folders, and plays."""
