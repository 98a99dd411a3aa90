// Empty: ProcessGroupGloo.hpp includes it, and what we use of that file needs nothing from here.
#pragma once
