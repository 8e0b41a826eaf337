"""The calls themselves, on the loop of the process. They are loaded with the first one."""

from gateway.sdk.calls.call import HOUSE as HOUSE
from gateway.sdk.calls.call import configure as configure
from gateway.sdk.calls.costs import cost as cost
from gateway.sdk.calls.images import edit as edit
from gateway.sdk.calls.images import images as images
from gateway.sdk.calls.speech import speech as speech
from gateway.sdk.calls.transcriptions import transcription as transcription
from gateway.sdk.calls.videos import video as video
from gateway.sdk.calls.videos import video_content as video_content
from gateway.sdk.calls.videos import video_delete as video_delete
from gateway.sdk.calls.videos import video_list as video_list
from gateway.sdk.calls.videos import video_remix as video_remix
from gateway.sdk.calls.videos import video_status as video_status
