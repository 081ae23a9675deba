#include <mqloop/ref.h>

namespace mqloop {

SharedObject::~SharedObject() = default;

}  // namespace mqloop
