"""Both ends as real processes, faults between and in them, and a judge: ``gatepost torture``.

``faults``      what is done, to whom, when: a plan made from a seed
``oracle``      what was issued, what was answered, and how to recognise it again
``issuer``      hands events in at a terminal's door
``proxy``       the line between a terminal and the receiver, which breaks as it is told
``destination`` what the receiver passes events on to, which breaks as it is told, too
``child``       starts an end with a clock that can be turned
``ends``        the processes; ``disks`` what they stand on
``inflict``     carries a fault out, and takes it back
``judge``       compares what was issued with what there is, and asks whether anything happened at all
``campaign``    all of it together; ``outcome`` says what came of it
``listing``     what the receiver lists, through its API
``remains``     what is left on disk at the end
``powercut``    a disk that forgets what was not synced; ``lossy`` puts SQLite and the journal on it
``blackout``    power cuts by the thousand, at either end
"""
