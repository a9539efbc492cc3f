"""The directories of many runs at once, each with the files that the same run leaves when it trains alone.
`directories.write_directories` writes them.
"""
