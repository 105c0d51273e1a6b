"""``sam-deblur app``: a page for people who want their own photos sharp.

`basicsr.app.workshop` restores, with the functions of ``sam-deblur restore``; `basicsr.app.page` shows it.
"""
