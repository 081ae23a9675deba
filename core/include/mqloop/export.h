// What libmqloop.so lets others see. Everything is compiled with hidden visibility; a class that a plugin derives from
// or catches needs MQLOOP_API, so that its typeinfo exists once in the process.
#pragma once

#define MQLOOP_API [[gnu::visibility("default")]]
