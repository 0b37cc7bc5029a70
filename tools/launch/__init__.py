"""The launcher's parts: configuration, folders, processes, one run. Holds no key and no credential."""
