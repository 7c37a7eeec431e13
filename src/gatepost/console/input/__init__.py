"""Read what a request brings to a page: its address and its form.

``filters``        the filters of lists, in an address, in a form and as a question to the store
``filter_names``   names of the filters of each page, and the keys of their words
``periods``        periods of time that a filter may name
``seal``           names of people in an address, so that they cannot be read there
``forms``          the fields of a form
``refused_forms``  shows a form again with the reason when it is refused
"""
