"""`talkinghead serve`: the studio page, live anchors, and the programming interface of both, over HTTP."""
