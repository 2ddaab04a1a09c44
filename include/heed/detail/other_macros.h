// heed/detail/other_macros.h: makes room for heed::Status where X11/Xlib.h, which EGL and GLX
// headers include too, has defined Status as a macro. A type of that name takes its place, so that
// X11's declarations and an application's X11 code mean what they meant before. Every header of
// heed includes this first, and it acts each time: where Xlib.h came after heed, including any
// header of heed once more makes room again.
#ifdef Status
namespace heed::detail {
using MacroStatus = Status;
}
#undef Status
using Status = heed::detail::MacroStatus;
#endif
