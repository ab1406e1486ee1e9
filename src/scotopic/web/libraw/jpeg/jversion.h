/* libjpeg-turbo for the page: its own copyright text is in the notices. */
#define JVERSION "6b  27-Mar-1998"
#define JCOPYRIGHT "Copyright (C) 1991-2023 the libjpeg-turbo Project and many others"
#define JCOPYRIGHT_SHORT JCOPYRIGHT
