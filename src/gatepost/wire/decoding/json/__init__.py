"""From bytes that may not quite be JSON to a JSON value. Pure.

``parser``   the value, repaired where it has to be
``repair``   the deviations from JSON that are repaired
``charset``  text that is not UTF-8
``places``   where a member is in the text
"""
