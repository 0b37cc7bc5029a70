"""The launcher's parts: configuration, folders, processes, one run. Holds no credential, and opens the person's own key to sign a goal."""
