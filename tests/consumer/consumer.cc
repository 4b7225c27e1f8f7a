// consumer.cc: the installed package from C++.
#include <drover/drover.h>

#include <string>

int main()
{
    return std::string(drover_version()) == DROVER_VERSION_STRING ? 0 : 1;
}
