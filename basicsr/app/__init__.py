"""``sam-deblur app``: a page that sharpens the user's own photos.

`basicsr.app.workshop` restores, with the functions of ``sam-deblur restore``; `basicsr.app.page` shows it.
"""
