/* report_page.h - the parts of the page that are the same in every report.   @thread any */
#ifndef KD_REPORT_PAGE_H
#define KD_REPORT_PAGE_H

/* To the opened body, with style and marks; in pieces, NULL-ended. */
extern const char *const kd_report_page_begin[];
extern const char kd_report_how_to_read[];

#endif
